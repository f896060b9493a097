@ The second stage of RP2040's boot: 252 bytes that the boot ROM copies from the start of flash to SRAM, checks by the
@ CRC behind them, and runs (RP2040 Datasheet, 2.8.1.3, 4.10). It sets the serial flash's interface to the slow read
@ command 03h, which every flash chip knows, and starts the image behind it.
@
@ Its bytes are in boards/raspberry-pi-pico.toml; tests/cross/test_boot_blocks.py assembles this and compares.

    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .section .boot2, "ax"
    .global boot2
boot2:
    push {lr}
    ldr  r3, =0x18000000        @ XIP_SSI
    movs r1, #0
    str  r1, [r3, #0x08]        @ SSIENR: off while it is set up
    movs r1, #4
    str  r1, [r3, #0x14]        @ BAUDR: the system clock divided by 4
    ldr  r1, =(31 << 16) | (3 << 8)
    str  r1, [r3, #0x00]        @ CTRLR0: frames of 32 bits, "EEPROM read": send, then receive
    movs r1, #0
    str  r1, [r3, #0x04]        @ CTRLR1: one frame is received
    ldr  r1, =(0x03 << 24) | (2 << 8) | (6 << 2)
    ldr  r0, =0x180000F4
    str  r1, [r0]               @ SPI_CTRLR0: command 03h of 8 bits, address of 24 bits, all on one wire
    movs r1, #1
    str  r1, [r3, #0x08]        @ SSIENR: on
    pop  {r0}
    cmp  r0, #0
    beq  1f
    bx   r0                     @ called by a program, not by the boot ROM
1:
    ldr  r0, =0x10000100        @ the vector table behind this block
    ldr  r1, =0xE000ED08        @ VTOR
    str  r0, [r1]
    ldmia r0, {r0, r1}
    msr  msp, r0
    bx   r1
    .ltorg
