package syntax

import "github.com/backlot-video/backlot/kit/money"

// similarCurrency suggests a known currency one letter or one swap away.
func similarCurrency(code string) string {
	var near []string
	for i := range len(code) {
		for letter := 'A'; letter <= 'Z'; letter++ {
			candidate := code[:i] + string(letter) + code[i+1:]
			if _, known := money.Exponent(candidate); known {
				near = append(near, candidate)
			}
		}
	}
	for _, swapped := range []string{code[1:2] + code[:1] + code[2:], code[:1] + code[2:] + code[1:2]} {
		if _, known := money.Exponent(swapped); known {
			return Suggest(code, []string{swapped})
		}
	}
	return Suggest(code, near)
}
