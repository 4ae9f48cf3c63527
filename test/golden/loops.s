// Nested and register-counted loops, an exit, a skipped loop.
        li gp1, 2
outer:  C_LOOP_START gp2, 3
        C_LOOP_REG gp3, gp1
        S_ADDI_INT gp4, gp4, 1
        C_LOOP_END gp3
        C_LOOP_REG gp3, gp0     // no pass
        S_ADDI_INT gp5, gp5, 1
        C_LOOP_END gp3
        C_LOOP_START gp3, 9
        S_ADDI_INT gp6, gp6, 1
        C_EXIT
        C_LOOP_END gp3
        C_LOOP_END gp2
        C_HALT
        S_ADDI_INT gp7, gp0, 1  // not reached
