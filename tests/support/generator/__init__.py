"""Random PyTorch models: what they are made of, how one is drawn, checked on boards, and made small again."""
