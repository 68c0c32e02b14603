package mq_test

func play(string) {}
