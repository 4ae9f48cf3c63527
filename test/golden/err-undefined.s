        li gp1, later + missing
later:
