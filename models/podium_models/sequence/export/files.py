"""Names the files of a trained model."""

ENCODER_FILE, RANKER_FILE = "encoder.onnx", "ranker.onnx"
