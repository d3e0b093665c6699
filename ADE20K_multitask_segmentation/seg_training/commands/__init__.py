"""What the commands share: start and end, log lines, devices, bars."""
