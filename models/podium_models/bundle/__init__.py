"""What every bundle is made of: manifest tables, golden vectors, graphs, sums."""
