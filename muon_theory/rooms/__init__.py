"""One room per paper or system; rooms are strangers to one another."""
