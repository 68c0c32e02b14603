#include "go_asm.h"
#include "textflag.h"

// func prefetchSlot(x *index, fragment uint64)
TEXT ·prefetchSlot(SB), NOSPLIT, $0-16
	MOVQ x+0(FP), AX
	MOVQ fragment+8(FP), BX
	MOVQ (index_slots+8)(AX), CX
	MOVQ index_slots(AX), AX
	DECQ CX
	ANDQ CX, BX
	PREFETCHT0 (AX)(BX*8)
	RET

// func prefetchEntry(data *byte)
TEXT ·prefetchEntry(SB), NOSPLIT, $0-8
	MOVQ data+0(FP), AX
	PREFETCHT0 (AX)
	PREFETCHT0 64(AX)
	PREFETCHT0 128(AX)
	RET
