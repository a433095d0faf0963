# Writes text files, one after the other, as a C array: cmake "-DIN=FILE;FILE" -DOUT=FILE.c -DNAME=symbol -P embed.cmake
set(bytes "")
foreach(file ${IN})
  file(READ ${file} part HEX)
  string(APPEND bytes "${part}")
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "extern const char ${NAME}[];\nconst char ${NAME}[] = {\n${bytes}0x00};\n")
