"""The ``ranker`` kind: user encoder and multi-task candidate ranker over dated purchases."""
