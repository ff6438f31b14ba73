package main

// int80 makes a system call of the 32-bit ABI.
func int80(number, arg uint32) int32
