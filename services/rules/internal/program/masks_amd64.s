#include "textflag.h"

// func intersect(left *uint64, words int, masks **uint64, count int)
TEXT ·intersect(SB), NOSPLIT, $0-32
	MOVQ left+0(FP), DI
	MOVQ words+8(FP), CX
	MOVQ masks+16(FP), SI
	MOVQ count+24(FP), DX
	XORQ AX, AX

block:
	MOVOU (DI)(AX*8), X0
	MOVOU 16(DI)(AX*8), X1
	MOVOU 32(DI)(AX*8), X2
	MOVOU 48(DI)(AX*8), X3
	XORQ  BX, BX

mask:
	MOVQ  (SI)(BX*8), R8
	MOVOU (R8)(AX*8), X4
	MOVOU 16(R8)(AX*8), X5
	MOVOU 32(R8)(AX*8), X6
	MOVOU 48(R8)(AX*8), X7
	PAND  X4, X0
	PAND  X5, X1
	PAND  X6, X2
	PAND  X7, X3
	INCQ  BX
	CMPQ  BX, DX
	JLT   mask

	MOVOU X0, (DI)(AX*8)
	MOVOU X1, 16(DI)(AX*8)
	MOVOU X2, 32(DI)(AX*8)
	MOVOU X3, 48(DI)(AX*8)
	ADDQ  $8, AX
	CMPQ  AX, CX
	JLT   block
	RET

// func unite(joined *uint64, words int, pairs *[2]*uint64, count int)
TEXT ·unite(SB), NOSPLIT, $0-32
	MOVQ joined+0(FP), DI
	MOVQ words+8(FP), CX
	MOVQ pairs+16(FP), SI
	MOVQ count+24(FP), DX
	SHLQ $4, DX
	XORQ AX, AX

block:
	MOVOU (DI)(AX*8), X0
	MOVOU 16(DI)(AX*8), X1
	MOVOU 32(DI)(AX*8), X2
	MOVOU 48(DI)(AX*8), X3
	XORQ  BX, BX

pair:
	MOVQ  (SI)(BX*1), R8
	MOVQ  8(SI)(BX*1), R9
	MOVOU (R8)(AX*8), X4
	MOVOU 16(R8)(AX*8), X5
	MOVOU 32(R8)(AX*8), X6
	MOVOU 48(R8)(AX*8), X7
	MOVOU (R9)(AX*8), X8
	MOVOU 16(R9)(AX*8), X9
	MOVOU 32(R9)(AX*8), X10
	MOVOU 48(R9)(AX*8), X11
	PAND  X8, X4
	PAND  X9, X5
	PAND  X10, X6
	PAND  X11, X7
	POR   X4, X0
	POR   X5, X1
	POR   X6, X2
	POR   X7, X3
	ADDQ  $16, BX
	CMPQ  BX, DX
	JLT   pair

	MOVOU X0, (DI)(AX*8)
	MOVOU X1, 16(DI)(AX*8)
	MOVOU X2, 32(DI)(AX*8)
	MOVOU X3, 48(DI)(AX*8)
	ADDQ  $8, AX
	CMPQ  AX, CX
	JLT   block
	RET
