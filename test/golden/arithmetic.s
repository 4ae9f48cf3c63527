// Wrapping integers, INT SRAM, addresses of 64 bits.
        li gp1, 0xFFFFFFFF
        li gp2, 3
        S_MUL_INT gp3, gp1, gp2
        S_SUB_INT gp4, gp0, gp2
        S_ADD_INT gp5, gp1, gp1
        S_ST_INT gp3, gp2, 10
        S_LD_INT gp6, gp0, 13
        S_LUI_INT gp7, 0x3FFFFF
        C_SET_ADDR_REG a1, gp2, gp1
        C_FENCE
