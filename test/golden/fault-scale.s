        H_STORE_V gp0, gp0, a0, 0, 1
        H_PREFETCH_V gp0, gp0, a0, 0, 1
