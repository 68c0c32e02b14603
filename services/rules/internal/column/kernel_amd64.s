#include "textflag.h"

// JOIN puts together four masks of 16 rows, K1 to K4, and stores those of sel.
#define JOIN(flip) \
	KUNPCKWD K1, K2, K1 \
	KUNPCKWD K3, K4, K3 \
	KUNPCKDQ K1, K3, K1 \
	KMOVQ    K1, AX     \
	XORQ     flip, AX   \
	ANDQ     BX, AX     \
	MOVQ     AX, (DI)(CX*8)

// INSIDE compares 16 rows from an offset on.
#define INSIDE(offset, low, high, mask) \
	VMOVDQU64 offset(SI), Z2      \
	VMOVDQU64 offset+64(SI), Z3   \
	VPSUBQ    Z0, Z2, Z2          \
	VPSUBQ    Z0, Z3, Z3          \
	VPCMPUQ   $2, Z1, Z2, low     \
	VPCMPUQ   $2, Z1, Z3, high    \
	KUNPCKBW  low, high, mask

// func intervalWords(values []int64, low int64, span, flip uint64, sel, out Bits)
TEXT ·intervalWords(SB), NOSPLIT, $0-96
	MOVQ         values_base+0(FP), SI
	VPBROADCASTQ low+24(FP), Z0
	VPBROADCASTQ span+32(FP), Z1
	MOVQ         flip+40(FP), R8
	MOVQ         sel_base+48(FP), DX
	MOVQ         sel_len+56(FP), R9
	MOVQ         out_base+72(FP), DI
	XORQ         CX, CX
	JMP          more

word:
	MOVQ  (DX)(CX*8), BX
	TESTQ BX, BX
	JZ    none
	INSIDE(0, K5, K6, K1)
	INSIDE(128, K5, K6, K2)
	INSIDE(256, K5, K6, K3)
	INSIDE(384, K5, K6, K4)
	JOIN(R8)
	JMP   next

none:
	MOVQ BX, (DI)(CX*8)

next:
	ADDQ $512, SI
	INCQ CX

more:
	CMPQ CX, R9
	JLT  word
	VZEROUPPER
	RET

// KNOWN looks up 16 codes: the upper bits choose a word of the table, which is
// rotated by the lower five.
#define KNOWN(offset, mask) \
	VMOVDQU32 offset(SI), Z2 \
	VPSRLD    $5, Z2, Z3     \
	VPERMD    Z0, Z3, Z3     \
	VPRORVD   Z2, Z3, Z3     \
	VPTESTMD  Z1, Z3, mask

// func codeWords(values []uint32, table *[16]uint32, flip uint64, sel, out Bits)
TEXT ·codeWords(SB), NOSPLIT, $0-88
	MOVQ         values_base+0(FP), SI
	MOVQ         table+24(FP), AX
	VMOVDQU32    (AX), Z0
	MOVL         $1, AX
	VPBROADCASTD AX, Z1
	MOVQ         flip+32(FP), R8
	MOVQ         sel_base+40(FP), DX
	MOVQ         sel_len+48(FP), R9
	MOVQ         out_base+64(FP), DI
	XORQ         CX, CX
	JMP          more

word:
	MOVQ  (DX)(CX*8), BX
	TESTQ BX, BX
	JZ    none
	KNOWN(0, K1)
	KNOWN(64, K2)
	KNOWN(128, K3)
	KNOWN(192, K4)
	JOIN(R8)
	JMP   next

none:
	MOVQ BX, (DI)(CX*8)

next:
	ADDQ $256, SI
	INCQ CX

more:
	CMPQ CX, R9
	JLT  word
	VZEROUPPER
	RET
