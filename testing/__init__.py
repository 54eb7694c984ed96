"""What users test their handlers with."""
