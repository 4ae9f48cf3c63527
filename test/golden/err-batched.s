M_BMM 0, gp1, gp2
M_MM 0, gp1, gp2
