// Verifies Ed25519 signatures (RFC 8032, without a context) on a core without a library for it: slots of
// signed programs. Keys, messages and signatures are public, so that time may depend on them. No heap, 2 KB
// of stack. What is called often is not inlined, which would triple the code.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mcu::ed25519 {

using Bytes = std::span<const unsigned char>;

inline constexpr size_t kKeyBytes = 32;

// Whether `signature` is that of `first` followed by `second`, by who has the private half of `key`.
inline bool verify(const unsigned char* key, Bytes first, Bytes second, const unsigned char* signature);

namespace detail {

// SHA-512 (FIPS 180-4).
class Sha512 {
public:
    [[gnu::noinline]] void add(Bytes bytes) {
        for (const unsigned char byte : bytes) {
            block_[size_++ % kBlock] = byte;
            if (size_ % kBlock == 0) {
                compress();
            }
        }
    }

    // The digest of all that was added, most significant bytes first.
    void finish(unsigned char (&digest)[64]) {
        const uint64_t bits = size_ * 8;
        constexpr unsigned char kOne = 0x80;
        constexpr unsigned char kZero = 0;
        add({&kOne, 1});
        while (size_ % kBlock != kBlock - sizeof(bits)) {
            add({&kZero, 1});
        }
        for (int shift = 56; shift >= 0; shift -= 8) {
            const auto byte = static_cast<unsigned char>(bits >> shift);
            add({&byte, 1});
        }
        for (size_t at = 0; at < sizeof(digest); ++at) {
            digest[at] = static_cast<unsigned char>(state_[at / 8] >> (56 - at % 8 * 8));
        }
    }

private:
    static constexpr size_t kBlock = 128;
    static constexpr size_t kRounds = 80;

    static uint64_t rotate(uint64_t word, int bits) { return word >> bits | word << (64 - bits); }

    void compress();

    // The fractional parts of the square roots of the first eight primes.
    uint64_t state_[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
    };
    unsigned char block_[kBlock]{};
    uint64_t size_ = 0;
};

// The fractional parts of the cube roots of the first 80 primes.
inline constexpr uint64_t kRoundConstants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

inline void Sha512::compress() {
    uint64_t schedule[16];
    for (size_t at = 0; at < 16; ++at) {
        uint64_t word = 0;
        for (size_t byte = 0; byte < 8; ++byte) {
            word = word << 8 | block_[8 * at + byte];
        }
        schedule[at] = word;
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (size_t round = 0; round < kRounds; ++round) {
        uint64_t& word = schedule[round % 16];
        if (round >= 16) {
            const uint64_t early = schedule[(round + 1) % 16];
            const uint64_t late = schedule[(round + 14) % 16];
            word += (rotate(early, 1) ^ rotate(early, 8) ^ early >> 7) + schedule[(round + 9) % 16] +
                    (rotate(late, 19) ^ rotate(late, 61) ^ late >> 6);
        }
        const uint64_t next = h + (rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)) + (g ^ (e & (f ^ g))) +
                              kRoundConstants[round] + word;
        const uint64_t mixed = (rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)) + ((a & b) | (c & (a | b)));
        h = g;
        g = f;
        f = e;
        e = d + next;
        d = c;
        c = b;
        b = a;
        a = next + mixed;
    }
    const uint64_t made[8] = {a, b, c, d, e, f, g, h};
    for (size_t at = 0; at < 8; ++at) {
        state_[at] += made[at];
    }
}

// A number of 256 bits, least significant limb first.
struct Number {
    uint32_t limbs[8];
};

[[gnu::noinline]] inline Number number(const unsigned char* bytes) {
    Number made{};
    for (size_t at = 0; at < 32; ++at) {
        made.limbs[at / 4] |= uint32_t{bytes[at]} << (at % 4 * 8);
    }
    return made;
}

inline bool bit(const Number& a, size_t index) {
    return (a.limbs[index / 32] >> (index % 32) & 1) != 0;
}

// a - b modulo 2^256, and whether b is greater.
inline bool subtract(Number& a, const Number& b) {
    uint64_t borrow = 0;
    for (size_t at = 0; at < 8; ++at) {
        const uint64_t difference = uint64_t{a.limbs[at]} - b.limbs[at] - borrow;
        a.limbs[at] = static_cast<uint32_t>(difference);
        borrow = difference >> 63;
    }
    return borrow != 0;
}

[[gnu::noinline]] inline bool is_below(Number a, const Number& b) {
    return subtract(a, b);
}

[[gnu::noinline]] inline void reduce(Number& a, const Number& modulus) {
    while (!is_below(a, modulus)) {
        subtract(a, modulus);
    }
}

// The field's prime, 2^255 - 19, and the order of the base point.
inline constexpr Number kPrime = {
    {0xffffffed, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x7fffffff}};
inline constexpr Number kOrder = {
    {0x5cf5d3ed, 0x5812631a, 0xa2f79cd6, 0x14def9de, 0x00000000, 0x00000000, 0x00000000, 0x10000000}};

// Arithmetic of the field, on any number of 256 bits: 2^256 is 38 modulo the prime.
inline void add_small(Number& a, uint32_t value) {
    uint64_t carry = value;
    while (carry != 0) {
        for (uint32_t& limb : a.limbs) {
            carry += limb;
            limb = static_cast<uint32_t>(carry);
            carry >>= 32;
        }
        carry *= 38;
    }
}

[[gnu::noinline]] inline Number add(const Number& a, const Number& b) {
    Number sum{};
    uint64_t carry = 0;
    for (size_t at = 0; at < 8; ++at) {
        carry += uint64_t{a.limbs[at]} + b.limbs[at];
        sum.limbs[at] = static_cast<uint32_t>(carry);
        carry >>= 32;
    }
    add_small(sum, static_cast<uint32_t>(carry) * 38);
    return sum;
}

[[gnu::noinline]] inline Number subtracted(Number a, const Number& b) {
    for (bool below = subtract(a, b); below;) {
        below = subtract(a, {{38}});
    }
    return a;
}

// a * b. Armv6-M multiplies 32 bits by 32 to 32: a library's 64 by 64 takes longer.
inline uint64_t product(uint32_t a, uint32_t b) {
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
    const uint32_t low = (a & 0xffff) * (b & 0xffff);
    const uint32_t middle = (a >> 16) * (b & 0xffff) + (low >> 16);  // does not wrap
    const uint32_t other = (a & 0xffff) * (b >> 16) + (middle & 0xffff);
    const uint32_t high = (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16);
    return uint64_t{high} << 32 | other << 16 | (low & 0xffff);
#else
    return uint64_t{a} * b;
#endif
}

// 512 bits modulo the prime.
[[gnu::noinline]] inline Number folded(const uint32_t (&wide)[16]) {
    Number result{};
    uint64_t carry = 0;
    for (size_t at = 0; at < 8; ++at) {
        carry += product(wide[at + 8], 38) + wide[at];
        result.limbs[at] = static_cast<uint32_t>(carry);
        carry >>= 32;
    }
    add_small(result, static_cast<uint32_t>(carry) * 38);
    return result;
}

[[gnu::noinline]] inline Number multiply(const Number& a, const Number& b) {
    uint32_t wide[16]{};
    for (size_t i = 0; i < 8; ++i) {
        uint32_t carry = 0;
        for (size_t j = 0; j < 8; ++j) {
            const uint64_t sum = product(a.limbs[i], b.limbs[j]) + wide[i + j] + carry;
            wide[i + j] = static_cast<uint32_t>(sum);
            carry = static_cast<uint32_t>(sum >> 32);
        }
        wide[i + 8] = carry;
    }
    return folded(wide);
}

// Twice the products of different limbs, and those of each with itself: 36 products in place of 64.
[[gnu::noinline]] inline Number square(const Number& a) {
    uint32_t wide[16]{};
    for (size_t i = 0; i < 7; ++i) {
        uint32_t carry = 0;
        for (size_t j = i + 1; j < 8; ++j) {
            const uint64_t sum = product(a.limbs[i], a.limbs[j]) + wide[i + j] + carry;
            wide[i + j] = static_cast<uint32_t>(sum);
            carry = static_cast<uint32_t>(sum >> 32);
        }
        wide[i + 8] = carry;
    }
    uint32_t top = 0;
    uint32_t carry = 0;
    for (size_t i = 0; i < 8; ++i) {
        const uint64_t own = product(a.limbs[i], a.limbs[i]);
        for (size_t half = 0; half < 2; ++half) {
            uint32_t& limb = wide[2 * i + half];
            const uint64_t sum =
                uint64_t{limb << 1 | top} + static_cast<uint32_t>(own >> (32 * half)) + carry;
            top = limb >> 31;
            limb = static_cast<uint32_t>(sum);
            carry = static_cast<uint32_t>(sum >> 32);
        }
    }
    return folded(wide);
}

[[gnu::noinline]] inline bool are_equal(const Number& a, const Number& b) {
    Number difference = subtracted(a, b);
    reduce(difference, kPrime);
    return std::all_of(difference.limbs, difference.limbs + 8, [](uint32_t limb) { return limb == 0; });
}

// a squared so many times, times b.
[[gnu::noinline]] inline Number raised(Number a, size_t times, const Number& b) {
    for (; times != 0; --times) {
        a = square(a);
    }
    return multiply(a, b);
}

// a to the power of 2^250 - 1: of powers whose exponents are ones, twice as many.
[[gnu::noinline]] inline Number ones(const Number& a) {
    const Number a2 = raised(a, 1, a);
    const Number a4 = raised(a2, 2, a2);
    const Number a5 = raised(a4, 1, a);
    const Number a10 = raised(a5, 5, a5);
    const Number a20 = raised(a10, 10, a10);
    const Number a40 = raised(a20, 20, a20);
    const Number a50 = raised(a40, 10, a10);
    const Number a100 = raised(a50, 50, a50);
    const Number a200 = raised(a100, 100, a100);
    return raised(a200, 50, a50);
}

// 1 / a: to the power of 2^255 - 21 = (2^250 - 1) 2^5 + 11.
inline Number inverse(const Number& a) {
    return raised(ones(a), 5, multiply(raised(square(a), 2, a), square(a)));
}

// To the power of 2^252 - 3 = (2^250 - 1) 2^2 + 1.
inline Number root(const Number& a) {
    return raised(ones(a), 2, a);
}

// A point of the curve, x = X / Z, y = Y / Z, T = X Y / Z.
struct Point {
    Number x, y, z, t;
};

inline constexpr Number kCurve = {
    {0x135978a3, 0x75eb4dca, 0x4141d8ab, 0x00700a4d, 0x7779e898, 0x8cc74079, 0x2b6ffe73, 0x52036cee}};
inline constexpr Number kTwiceCurve = {
    {0x26b2f159, 0xebd69b94, 0x8283b156, 0x00e0149a, 0xeef3d130, 0x198e80f2, 0x56dffce7, 0x2406d9dc}};
inline constexpr Number kRootOfMinusOne = {
    {0x4a0ea0b0, 0xc4ee1b27, 0xad2fe478, 0x2f431806, 0x3dfbd7a7, 0x2b4d0099, 0x4fc1df0b, 0x2b832480}};
inline constexpr Point kBase = {
    {{0x8f25d51a, 0xc9562d60, 0x9525a7b2, 0x692cc760, 0xfdd6dc5c, 0xc0a4e231, 0xcd6e53fe, 0x216936d3}},
    {{0x66666658, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666, 0x66666666}},
    {{1}},
    {{0xa5b7dda3, 0x6dde8ab3, 0x775152f5, 0x20f09f80, 0x64abe37d, 0x66ea4e8e, 0xd78b7665, 0x67875f0f}}};

// A point as sums take it: Y - X, Y + X, 2 Z, 2 d T.
struct Addend {
    Number minus, plus, z, t;
};

[[gnu::noinline]] inline Addend addend(const Point& a) {
    return {subtracted(a.y, a.x), add(a.y, a.x), add(a.z, a.z), multiply(a.t, kTwiceCurve)};
}

// X / Z = e / g, Y / Z = h / f.
inline Point quotient(const Number& e, const Number& f, const Number& g, const Number& h) {
    return {multiply(e, f), multiply(g, h), multiply(f, g), multiply(e, h)};
}

// The sum of any two points (RFC 8032, 5.1.4).
[[gnu::noinline]] inline Point add(const Point& a, const Addend& b) {
    const Number minus = multiply(subtracted(a.y, a.x), b.minus);
    const Number plus = multiply(add(a.y, a.x), b.plus);
    const Number t = multiply(a.t, b.t);
    const Number z = multiply(a.z, b.z);
    return quotient(subtracted(plus, minus), subtracted(z, t), add(z, t), add(plus, minus));
}

// Twice a point (RFC 8032, 5.1.4).
[[gnu::noinline]] inline Point twice(const Point& a) {
    const Number x = square(a.x);
    const Number y = square(a.y);
    const Number z = square(a.z);
    const Number h = add(x, y);
    const Number g = subtracted(x, y);
    return quotient(subtracted(h, square(add(a.x, a.y))), add(add(z, z), g), g, h);
}

// The point that 32 bytes stand for, with the other sign (RFC 8032, 5.1.3); whether there is one.
inline bool negated(const unsigned char* bytes, Point& point) {
    Number y = number(bytes);
    const bool sign = bit(y, 255);
    y.limbs[7] &= 0x7fffffff;
    if (!is_below(y, kPrime)) {
        return false;
    }
    const Number one = {{1}};
    const Number squared = square(y);
    const Number u = subtracted(squared, one);
    const Number v = add(multiply(squared, kCurve), one);
    const Number v3 = raised(v, 1, v);
    const Number v7 = raised(v3, 1, v);
    Number x = multiply(multiply(u, v3), root(multiply(u, v7)));
    if (!are_equal(multiply(v, square(x)), u)) {
        x = multiply(x, kRootOfMinusOne);
        if (!are_equal(multiply(v, square(x)), u)) {
            return false;
        }
    }
    reduce(x, kPrime);
    if (are_equal(x, {}) && sign) {
        return false;
    }
    if (bit(x, 0) == sign) {
        x = subtracted(kPrime, x);
    }
    point = {x, y, one, multiply(x, y)};
    return true;
}

// A digest as a number modulo the order of the base point.
inline Number scalar(const unsigned char (&digest)[64]) {
    Number result{};
    for (size_t index = 512; index-- != 0;) {
        uint32_t carry = digest[index / 8] >> (index % 8) & 1;
        for (uint32_t& limb : result.limbs) {
            const uint32_t next = limb >> 31;
            limb = limb << 1 | carry;
            carry = next;
        }
        reduce(result, kOrder);
    }
    return result;
}

// a A + b B.
inline Point combined(const Number& a, const Point& A, const Number& b, const Point& B) {
    Addend addends[3] = {addend(A), addend(B), {}};
    Point sum = add(A, addends[1]);
    addends[2] = addend(sum);
    sum = {{}, {{1}}, {{1}}, {}};
    for (size_t index = 253; index-- != 0;) {
        sum = twice(sum);
        const int number = (bit(a, index) ? 1 : 0) + (bit(b, index) ? 2 : 0);
        if (number != 0) {
            sum = add(sum, addends[number - 1]);
        }
    }
    return sum;
}

inline bool is_encoded(const Point& point, const unsigned char* bytes) {
    const Number z = inverse(point.z);
    Number x = multiply(point.x, z);
    Number y = multiply(point.y, z);
    reduce(x, kPrime);
    reduce(y, kPrime);
    y.limbs[7] |= uint32_t{bit(x, 0)} << 31;
    return std::equal(y.limbs, y.limbs + 8, number(bytes).limbs);
}

}  // namespace detail

inline bool verify(const unsigned char* key, Bytes first, Bytes second, const unsigned char* signature) {
    using namespace detail;
    Point negative;
    const Number s = number(signature + 32);
    if (!is_below(s, kOrder) || !negated(key, negative)) {
        return false;
    }
    Sha512 hash;
    hash.add({signature, 32});
    hash.add({key, kKeyBytes});
    hash.add(first);
    hash.add(second);
    unsigned char digest[64];
    hash.finish(digest);
    return is_encoded(combined(s, kBase, scalar(digest), negative), signature);
}

}  // namespace mcu::ed25519
