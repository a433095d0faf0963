/* The warnings of libjpeg that ddq names; without a decoder none is ever given. */
#ifndef BARE_JERROR_H
#define BARE_JERROR_H

enum { JWRN_ADOBE_XFORM = 1, JWRN_EXTRANEOUS_DATA, JWRN_JFIF_MAJOR, JWRN_NOT_SEQUENTIAL };

#endif
