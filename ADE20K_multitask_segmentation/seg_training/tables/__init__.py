"""The paper's tables, and smaller ones like them: trained cell by cell, collected, written."""
