"""From an imported network to the code of each of its kernels."""
