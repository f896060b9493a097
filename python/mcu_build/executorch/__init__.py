"""ExecuTorch's own C++ runtime: where its package is, what a program needs, how it is deployed."""
