package money

import "strings"

// exponents is ISO 4217's list of funds in use, by digits after the point.
// Metals, testing codes and withdrawn currencies are left out.
var exponents = byCode(map[int]string{
	0: `BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF`,
	2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD
		BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP
		DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
		IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
		MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
		NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
		SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD
		USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG`,
	3: `BHD IQD JOD KWD LYD OMR TND`,
	4: `CLF UYW`,
})

func byCode(codes map[int]string) map[string]int {
	table := make(map[string]int)
	for exponent, list := range codes {
		for code := range strings.FieldsSeq(list) {
			table[code] = exponent
		}
	}
	return table
}

// Exponent tells how many digits of a currency's minor units stand after the
// point: 2 for USD, 0 for JPY. It is false for a code that ISO 4217 lacks.
func Exponent(currency string) (digits int, known bool) {
	digits, known = exponents[currency]
	return digits, known
}
