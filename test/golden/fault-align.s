        li gp1, 24
        V_EXP_V gp0, gp1
