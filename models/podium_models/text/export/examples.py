"""Texts written for this project: no product of any data set is among them."""

from __future__ import annotations

QUERY = "bluetooth speaker"
BRAND = "Wavora"
PRODUCTS = (
    ("ex-001", "Portable Bluetooth speaker waterproof 20 W blue"),
    ("ex-002", "USB-C charging cable 2 m braided"),
    ("ex-003", "Wireless over-ear headphones with noise cancelling"),
    ("ex-004", "Soundbar 3.1 with wireless subwoofer HDMI ARC"),
    ("ex-005", "Laser printer A4 monochrome 30 ppm"),
    ("ex-006", "Bluetooth party speaker with lights and microphone"),
    ("ex-007", "27 inch QHD monitor 165 Hz height adjustable"),
    ("ex-008", "Gaming mouse 16000 DPI with RGB lighting"),
)
OTHER_QUERIES = ("gaming mouse", "a4 printer", "x")
UNUSUAL = ("Кабель USB 2 м", "naïve café 50 µF ½″ ™", "耳机 蓝牙", "🎧", "ab" * 150)
