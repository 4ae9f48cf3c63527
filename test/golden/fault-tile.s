// no tile was loaded
        M_MM 0, gp0, gp0
