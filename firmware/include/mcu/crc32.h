// CRC-32 of IEEE 802.3, as zlib's: reflected, polynomial 0x04C11DB7.

#pragma once

#include <cstdint>
#include <span>

namespace mcu {

// Continues `crc`, which begins as ~0 and is complemented at the end. Four bits a step keep the table in 64
// bytes.
template <typename Byte>
inline uint32_t crc32(uint32_t crc, std::span<const Byte> bytes) {
    static constexpr uint32_t kTable[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
        0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    for (const Byte byte : bytes) {
        crc ^= static_cast<uint8_t>(byte);
        crc = crc >> 4 ^ kTable[crc & 0xF];
        crc = crc >> 4 ^ kTable[crc & 0xF];
    }
    return crc;
}

}  // namespace mcu
