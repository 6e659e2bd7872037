"""Trains encoders: towards a teacher's vectors, and towards judged lists."""
