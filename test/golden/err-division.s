.equ ZERO, 0
        li gp1, 4 / ZERO
