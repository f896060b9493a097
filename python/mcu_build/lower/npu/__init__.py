"""The programs of an Ethos-U: partition, Vela, what it compiled wrong, and the proof of what it compiled."""
