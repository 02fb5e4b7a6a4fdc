"""What `compare.py` compares: rows, and how each library computes them."""
