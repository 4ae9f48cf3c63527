M_MM 0, gp1
