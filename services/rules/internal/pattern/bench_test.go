package pattern

import (
	"regexp"
	"strings"
	"testing"
)

var (
	emails = strings.Fields(`li1234@gmail.com wang83@qq.com zhang7@corp.example.cn chen4455@163.com liu9021@outlook.com zhao12@corp.example.cn
		li37@qq.com maria.garcia1975@hotmail.com 13800138000@139.com no-reply@news.shop.example`)
	benchmarked = []string{
		`^(li|wang)[0-9]*3[0-9]?@`, `[0-9]{3,}@(gmail[.]com|qq[.]com)$`, `^[a-z]+4[0-9]+@corp[.]example[.]cn$`,
		`@gmail\.com$`, `^no-?reply@`, `[._]{2}|[0-9]{6,}`, `^[^@]+@[^@]+\.(ru|top|xyz)$`, `(bot|crawl|spider)`, `(?i)(curl|bot|okhttp)`, `支付|退款`,
	}
	matcher interface{ MatchString(string) bool }
)

func BenchmarkCompile(b *testing.B) {
	for _, text := range benchmarked {
		b.Run(text+"/ours", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				matcher, _ = Compile(text)
			}
		})
		b.Run(text+"/regexp", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				matcher = regexp.MustCompile(text)
			}
		})
	}
}

// BenchmarkMatch reports the time of one e-mail address.
func BenchmarkMatch(b *testing.B) {
	for _, text := range benchmarked {
		p, err := Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		run := func(name string, match func(string) bool) {
			b.Run(text+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					match(emails[i%len(emails)])
				}
			})
		}
		run("ours", p.MatchString)
		run("regexp", regexp.MustCompile(text).MatchString)
	}
}
