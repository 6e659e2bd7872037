"""The encoder and its item representation, in torch."""
