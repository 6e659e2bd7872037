"""The two graphs and the bundles around them."""
