"""Operations: a frozen dataclass for each kind, with its operands, its parameters and what passes ask."""
