"""Predicts a product's attributes from its title and brand: many labels at once."""
