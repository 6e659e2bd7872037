"""Network parts that several kinds share."""
