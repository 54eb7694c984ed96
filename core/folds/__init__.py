"""Folds: state computed from events alone. Each has `apply(seq, at_ns, event)`; none reads media, a clock or the wire."""
