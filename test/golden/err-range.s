        li gp1, 5
        S_ADDI_INT gp1, gp0, 262144
