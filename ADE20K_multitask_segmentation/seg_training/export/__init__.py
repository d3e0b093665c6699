"""Networks for other runtimes: ONNX, OpenVINO, torch.export, ExecuTorch."""
