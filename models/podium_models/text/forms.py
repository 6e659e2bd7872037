"""Names the forms of a text ranker; needs nothing, so that measuring needs no torch."""

BI, CROSS = "bi", "cross"
FORMS = (BI, CROSS)
