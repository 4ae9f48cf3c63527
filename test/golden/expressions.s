; constants, expressions, labels as values, li in one and two words
.equ MLEN, 16
.equ TILE, MLEN * MLEN
.equ MASK, (1 << 4) - 1 & ~2
        li gp1, TILE * 3        # one word
        li gp2, 0x12345678      # two words
        li gp3, -1
        li gp4, 0xABCDE000      # one LUI
        li gp5, end - start
start:  s_addi_int gp6, gp0, MASK | 0b100000
        S_ADDI_INT gp7, gp0, 7 % 4 + 10 / 3 ^ 1
        nop
        .word 0xDEADBEEF >> 4
end:    C_HALT
