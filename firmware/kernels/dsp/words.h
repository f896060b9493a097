// Words of memory, at any address, and their bytes.

#pragma once

#include <cstdint>
#include <cstring>

namespace mcu::kernels::dsp {

template <typename T>
inline int32_t load_word(const T* from) {
    int32_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

template <typename T>
inline void store_word(int32_t word, T* to) {
    std::memcpy(to, &word, sizeof word);
}

// Bytes 0 and 2 of a word, widened to halfwords; bytes 1 and 3.
inline int32_t even_bytes(int32_t word) {
    int32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}
inline int32_t odd_bytes(int32_t word) {
    int32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

}  // namespace mcu::kernels::dsp
