// Prints 1 or 0 for each line of a file: whether firmware/include/mcu/ed25519.h takes the signature. A line
// is key, signature and, behind a dot, the message, in hexadecimal digits. The message is given in two
// pieces.

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "mcu/ed25519.h"

namespace {

std::vector<unsigned char> bytes(const std::string& digits) {
    std::vector<unsigned char> made;
    for (size_t at = 0; at < digits.size(); at += 2) {
        made.push_back(static_cast<unsigned char>(std::stoi(digits.substr(at, 2), nullptr, 16)));
    }
    return made;
}

}  // namespace

int main(int, char** words) {
    std::ifstream file(words[1]);
    std::string key, signature, message;
    while (file >> key >> signature >> message) {
        const auto whole = bytes(message.substr(1));
        const mcu::ed25519::Bytes all(whole);
        const size_t half = all.size() / 3;
        const bool right = mcu::ed25519::verify(bytes(key).data(), all.first(half), all.subspan(half),
                                                bytes(signature).data());
        std::puts(right ? "1" : "0");
    }
}
