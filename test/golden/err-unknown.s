nop
        V_ADD_VW gp1, gp2, gp3
