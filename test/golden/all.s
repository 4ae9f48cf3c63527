// Every instruction once, optional operands left out and written.
        M_MM 0, gp1, gp2
        M_TMM 0, gp1, gp2
        M_TMM 0, gp1, gp2, 3
        M_TMM 7, gp1, gp2, 0, 2
        M_MM 1, gp1, gp2, 1
        M_MM_WO gp1, gp2, 262143
        M_BMM gp3, gp1, gp2
        M_BMM 0, gp1, gp2
        M_BMM_WO gp4, 64
        M_BTMM gp3, gp1, gp2
        M_MV 0, gp1, gp2
        M_TMV 0, gp1, gp2
        M_MV_WO gp1, 4
        M_BMV gp3, gp1, gp2
        M_BMV_WO gp4, 64
        M_BTMV gp3, gp1, gp2
        M_BMV_WO gp4, gp0, 64
        V_ADD_VV gp1, gp2, gp3
        V_ADD_VV gp1, gp2, gp3, 1
        V_ADD_VF gp1, gp2, f3
        V_SUB_VV gp1, gp2, gp3, 0
        V_SUB_VF gp1, gp2, f3, 1, 1
        V_MUL_VV gp1, gp2, gp3
        V_MUL_VF gp1, gp2, f3, 1
        V_EXP_V gp1, gp2
        V_RECI_V gp1, gp2, 1
        V_RED_SUM f1, gp2
        V_RED_MAX f7, gp2, 1
        S_ADD_FP f1, f2, f3
        S_SUB_FP f1, f2, f3
        S_MAX_FP f1, f2, f3
        S_MUL_FP f1, f2, f3
        S_EXP_FP f1, f2
        S_RECI_FP f1, f2
        S_SQRT_FP f1, f2
        S_LD_FP f1, gp2, 3
        S_ST_FP f1, gp2, 3
        S_MAP_V_FP gp1, gp2, 3
        S_ADD_INT gp1, gp2, gp3
        S_ADDI_INT gp1, gp2, 262143
        S_SUB_INT gp1, gp2, gp3
        S_MUL_INT gp15, gp14, gp13
        S_LUI_INT gp1, 4194303
        S_LD_INT gp1, gp2, 3
        S_ST_INT gp1, gp2, 3
        H_PREFETCH_M gp1, gp2, a3, 1, 0
        H_PREFETCH_V gp1, gp2, a15, 0, 1
        H_STORE_V gp1, gp2, a3, 1, 1
        C_SET_ADDR_REG a15, gp1, gp2
        C_SET_SCALE_REG gp1
        C_SET_STRIDE_REG gp1
        C_SET_V_MASK_REG gp1
        C_LOOP_START gp1, 4194303
        C_LOOP_REG gp2, gp3
        C_EXIT
        C_FENCE_ST
        C_LOOP_END gp2
        C_LOOP_END gp1
        V_PS_V gp1, gp2
        V_SHFT_V gp1, gp2, gp3
        C_HADAMARD_TRANSFORM gp1, gp2, gp3
        C_BREAK
        V_MAX_VF gp1, gp2, f3
        V_MIN_VF gp1, gp2, f3, 1
        V_TOPK gp1, gp2, gp3, 1
        C_FENCE
        V_ROUTE gp1, gp2, gp3
        V_PICK gp1, gp2, gp3, gp4
        V_LIM_V gp1, gp2, gp3
        V_LIM_V gp1, gp2, gp3, 1
        V_SWAP_V gp1, gp2, gp3
        V_ARGMAX f1, gp2, gp3, gp4
        H_LOAD_M gp1, gp2, gp3, gp4, 3
        H_LOAD_V gp1, gp2, gp3, gp4
        H_SAVE_V gp1, gp2, gp3, gp4, 15
        C_HALT
