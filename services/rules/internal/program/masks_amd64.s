#include "textflag.h"

// func intersectWide(left *uint64, held *uint16, words int, masks **uint64, count int)
TEXT ·intersectWide(SB), NOSPLIT, $0-40
	MOVQ  left+0(FP), DI
	MOVQ  held+8(FP), R11
	MOVQ  words+16(FP), CX
	MOVQ  masks+24(FP), SI
	MOVQ  count+32(FP), DX
	VPXOR Y15, Y15, Y15
	XORQ  AX, AX

block:
	MOVQ    (SI), R8
	VMOVDQU (R8)(AX*8), Y0
	VMOVDQU 32(R8)(AX*8), Y1
	VMOVDQU 64(R8)(AX*8), Y2
	VMOVDQU 96(R8)(AX*8), Y3
	MOVQ    $1, BX
	JMP     more

mask:
	MOVQ  (SI)(BX*8), R8
	VPAND (R8)(AX*8), Y0, Y0
	VPAND 32(R8)(AX*8), Y1, Y1
	VPAND 64(R8)(AX*8), Y2, Y2
	VPAND 96(R8)(AX*8), Y3, Y3
	INCQ  BX

more:
	CMPQ BX, DX
	JLT  mask

	VMOVDQU   Y0, (DI)(AX*8)
	VMOVDQU   Y1, 32(DI)(AX*8)
	VMOVDQU   Y2, 64(DI)(AX*8)
	VMOVDQU   Y3, 96(DI)(AX*8)
	VPCMPEQQ  Y15, Y0, Y0
	VPCMPEQQ  Y15, Y1, Y1
	VPCMPEQQ  Y15, Y2, Y2
	VPCMPEQQ  Y15, Y3, Y3
	VMOVMSKPD Y0, R8
	VMOVMSKPD Y1, R9
	VMOVMSKPD Y2, R10
	VMOVMSKPD Y3, R12
	SHLL      $4, R9
	SHLL      $8, R10
	SHLL      $12, R12
	ORL       R9, R8
	ORL       R10, R8
	ORL       R12, R8
	NOTL      R8
	MOVW      R8, (R11)
	ADDQ      $2, R11
	ADDQ      $16, AX
	CMPQ      AX, CX
	JLT       block
	VZEROUPPER
	RET

// func uniteWide(joined *uint64, words int, pairs *[2]*uint64, count int)
TEXT ·uniteWide(SB), NOSPLIT, $0-32
	MOVQ joined+0(FP), DI
	MOVQ words+8(FP), CX
	MOVQ pairs+16(FP), SI
	MOVQ count+24(FP), DX
	SHLQ $4, DX
	XORQ AX, AX

block:
	VMOVDQU (DI)(AX*8), Y0
	VMOVDQU 32(DI)(AX*8), Y1
	VMOVDQU 64(DI)(AX*8), Y2
	VMOVDQU 96(DI)(AX*8), Y3
	XORQ    BX, BX

pair:
	MOVQ    (SI)(BX*1), R8
	MOVQ    8(SI)(BX*1), R9
	VMOVDQU (R8)(AX*8), Y4
	VMOVDQU 32(R8)(AX*8), Y5
	VMOVDQU 64(R8)(AX*8), Y6
	VMOVDQU 96(R8)(AX*8), Y7
	VPAND   (R9)(AX*8), Y4, Y4
	VPAND   32(R9)(AX*8), Y5, Y5
	VPAND   64(R9)(AX*8), Y6, Y6
	VPAND   96(R9)(AX*8), Y7, Y7
	VPOR    Y4, Y0, Y0
	VPOR    Y5, Y1, Y1
	VPOR    Y6, Y2, Y2
	VPOR    Y7, Y3, Y3
	ADDQ    $16, BX
	CMPQ    BX, DX
	JLT     pair

	VMOVDQU Y0, (DI)(AX*8)
	VMOVDQU Y1, 32(DI)(AX*8)
	VMOVDQU Y2, 64(DI)(AX*8)
	VMOVDQU Y3, 96(DI)(AX*8)
	ADDQ    $16, AX
	CMPQ    AX, CX
	JLT     block
	VZEROUPPER
	RET
