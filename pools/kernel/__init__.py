"""What the kernel tells about processes and memory, and what we ask of it. Linux only; no rows."""
