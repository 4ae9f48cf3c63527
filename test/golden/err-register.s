S_ADD_INT gp1, gp16, gp2
