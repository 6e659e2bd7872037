"""Makes a graph smaller or quicker, and measures what that costs and gains."""
