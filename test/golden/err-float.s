S_ADD_FP f1, f8, f2
